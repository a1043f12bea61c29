-- In thousandths of a cent, so that nothing is rounded.
SELECT auction, bidder, price * 908 AS price, date_time, extra FROM bid
