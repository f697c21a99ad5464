"""What the studies printed, once each: tables, budgets, schedules, notes on misprints."""
