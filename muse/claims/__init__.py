"""Claims, measurements, verdicts and the ledger: frozen data that loads without torch."""
