"""Batch APIs as a way of asking: requests that nobody waits for are gathered, sent as one batch, and joined again.

    gathered ─▶ intent noted ─▶ uploaded ─▶ created, noted ─▶ polled ─▶ results, by custom id ─▶ replies, failures

Half the price, hours of latency. What is noted outlives a kill, so that a batch is found again and nothing is
submitted twice. Deadlines, hedges, limits and the breaker of single requests do not apply to the rows of a batch: the
service's own window (24 h) does, and a row that failed for a passing reason goes into a later batch, a few times.
"""
