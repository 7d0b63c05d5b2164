"""What every wing needs: errors, checks, parallel work, whole files, estimators."""
