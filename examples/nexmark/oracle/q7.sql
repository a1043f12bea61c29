WITH highest AS (
  SELECT epoch_us(date_time) // 10000000 * 10000000 + 10000000 AS window_end, max(price) AS max_price FROM bid GROUP BY ALL
)
SELECT b.auction, b.bidder, b.price, b.date_time, b.extra
FROM bid b JOIN highest h
ON b.price = h.max_price AND epoch_us(b.date_time) BETWEEN h.window_end - 10000000 AND h.window_end
