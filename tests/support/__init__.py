"""What several tests share: small models, stand-ins for DCVC's, a browser."""
