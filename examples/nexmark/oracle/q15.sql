WITH levels AS (
  SELECT *, CASE WHEN price < 10000 THEN 1 WHEN price < 1000000 THEN 2 ELSE 3 END AS level, strftime(date_time, '%Y-%m-%d') AS day FROM bid
)
SELECT day,
  count(*) AS total_bids,
  count(CASE WHEN level = 1 THEN 1 END) AS rank1_bids,
  count(CASE WHEN level = 2 THEN 1 END) AS rank2_bids,
  count(CASE WHEN level = 3 THEN 1 END) AS rank3_bids,
  count(DISTINCT bidder) AS total_bidders,
  count(DISTINCT CASE WHEN level = 1 THEN bidder END) AS rank1_bidders,
  count(DISTINCT CASE WHEN level = 2 THEN bidder END) AS rank2_bidders,
  count(DISTINCT CASE WHEN level = 3 THEN bidder END) AS rank3_bidders,
  count(DISTINCT auction) AS total_auctions,
  count(DISTINCT CASE WHEN level = 1 THEN auction END) AS rank1_auctions,
  count(DISTINCT CASE WHEN level = 2 THEN auction END) AS rank2_auctions,
  count(DISTINCT CASE WHEN level = 3 THEN auction END) AS rank3_auctions
FROM levels
GROUP BY day
