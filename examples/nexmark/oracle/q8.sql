WITH people AS (
  SELECT DISTINCT id, name, epoch_us(date_time) // 10000000 AS period FROM person
), sellers AS (
  SELECT DISTINCT seller, epoch_us(date_time) // 10000000 AS period FROM auction
)
SELECT p.id, p.name, make_timestamp(p.period * 10000000) AS start_time
FROM people p JOIN sellers s ON p.id = s.seller AND p.period = s.period
