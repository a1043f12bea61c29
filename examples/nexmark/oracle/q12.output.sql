SELECT bidder, CAST(sum(bid_count) AS BIGINT) AS bid_count FROM output WHERE end_time - start_time = INTERVAL '10 seconds' GROUP BY bidder
