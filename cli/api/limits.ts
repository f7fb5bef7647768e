/** Entries a page: what the API allows at most (maxListingLimit of shared/api.ts, which loads every schema). */
export const maxListing = 10_000;
