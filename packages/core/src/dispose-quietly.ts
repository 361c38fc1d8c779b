/** Releases something whose failure to be released nobody can act on. */
export async function disposeQuietly(resource: AsyncDisposable | undefined): Promise<void> {
  try {
    await resource?.[Symbol.asyncDispose]();
  } catch {}
}
