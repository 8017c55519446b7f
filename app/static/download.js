// Filled by the worker that decrypts: see app/keys.
