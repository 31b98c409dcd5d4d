"""Many short trainings, few long ones."""
