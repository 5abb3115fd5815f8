"""Claims about a run: sentences with their preconditions, their numbers, and the baselines of these numbers.

``claims`` defines a claim. The other files hold functions that take a run, check their precondition, and return the
claims that are true of the run. Sections join them by ``said``; ``claims_of`` gathers them from a page's blocks.
"""
