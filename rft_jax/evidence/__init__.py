"""What results allow to say: intervals, comparisons over seeds and problems, and what a run can show. No JAX."""
