"""What people look at: pages, false colours, contact sheets, videos."""
