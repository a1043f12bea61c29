-- A session ends where the next bid comes more than ten seconds later.
WITH marked AS (
  SELECT bidder, date_time,
    coalesce(date_time - lag(date_time) OVER (PARTITION BY bidder ORDER BY date_time) > INTERVAL '10 seconds', true) AS first
  FROM bid
), numbered AS (
  SELECT bidder, date_time, count(*) FILTER (WHERE first) OVER (PARTITION BY bidder ORDER BY date_time) AS session FROM marked
)
SELECT bidder, count(*) AS bid_count, min(date_time) AS start_time, max(date_time) + INTERVAL '10 seconds' AS end_time
FROM numbered
GROUP BY bidder, session
