"""The services of the contract: translate, call the runtime's service, translate back."""
