"""What runs before anything else sees a row: quality gates and what they count."""
