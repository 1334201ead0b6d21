"""Published experiments as studies anyone can repeat: `rookery reproduce`."""
