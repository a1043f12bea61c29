WITH levels AS (
  SELECT *, CASE WHEN price < 10000 THEN 1 WHEN price < 1000000 THEN 2 ELSE 3 END AS level, strftime(date_time, '%Y-%m-%d') AS day FROM bid
)
SELECT auction, day, count(*) AS total_bids,
  count(CASE WHEN level = 1 THEN 1 END) AS rank1_bids,
  count(CASE WHEN level = 2 THEN 1 END) AS rank2_bids,
  count(CASE WHEN level = 3 THEN 1 END) AS rank3_bids,
  min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, CAST(sum(price) AS BIGINT) AS sum_price
FROM levels
GROUP BY auction, day
