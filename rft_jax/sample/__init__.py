"""Sampling k paths a problem: device side (choose, decode), schedule, ledger and the loop over them."""
