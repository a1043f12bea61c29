SELECT category, avg(price) AS average
FROM (
  SELECT a.id, a.category, max(b.price) AS price
  FROM auction a JOIN bid b ON a.id = b.auction
  WHERE b.date_time >= a.date_time AND b.date_time <= a.expires
  GROUP BY a.id, a.category
)
GROUP BY category
