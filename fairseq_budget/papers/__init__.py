"""Numbers that the studies printed, once each: tables, budgets, schedules, misprints."""
