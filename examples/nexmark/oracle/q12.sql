-- Which window a bid falls into depends on the clock; the bids of a person over all windows do not.
SELECT bidder, count(*) AS bid_count FROM bid GROUP BY bidder
