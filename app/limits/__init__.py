"""What keys and tenants may use, and what they have used."""
