"""What the page shows of the neurons of a review: findings, cards, pictures, filters, and some side by side."""
