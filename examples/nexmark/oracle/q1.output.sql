SELECT auction, bidder, CAST(price * 1000 AS BIGINT) AS price, date_time, extra FROM output
