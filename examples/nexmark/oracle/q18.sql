SELECT auction, bidder, price, channel, url, date_time, extra
FROM bid b
WHERE NOT EXISTS (FROM bid c WHERE c.bidder = b.bidder AND c.auction = b.auction AND c.date_time > b.date_time)
