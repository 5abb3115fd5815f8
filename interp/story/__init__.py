"""What the report says of a run: sentences with their preconditions, their numbers and what these are measured against.

``claims`` is the form; the other files hold the functions: each takes a run, looks whether its precondition holds, and
returns the claims that are true of it. Sections join them by ``said``; ``claims_of`` gathers them from a page's blocks.
"""
