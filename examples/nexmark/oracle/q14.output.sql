SELECT auction, bidder, CAST(price * 1000 AS BIGINT) AS price, bid_time_type, date_time, extra, c_counts FROM output
