"""Sampling k paths per problem: device side (sampling, decode), schedule, ledger and the loop over them."""
