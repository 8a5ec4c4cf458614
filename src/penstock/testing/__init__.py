"""The testing kit, shipped with the product: playbook, manual clock, faulty peers, relay contract."""
