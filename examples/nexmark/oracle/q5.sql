-- The five windows of ten seconds, one every two seconds, that hold a moment.
WITH placed AS (
  SELECT auction, epoch_us(date_time) // 2000000 * 2000000 - k * 2000000 AS window_start
  FROM bid, range(5) AS windows(k)
), counts AS (
  SELECT auction, window_start, count(*) AS num FROM placed GROUP BY ALL
)
SELECT auction, num FROM counts QUALIFY num = max(num) OVER (PARTITION BY window_start)
