/** Characters of each stream that `sampleOutput` gives when it is not told otherwise. */
export const DEFAULT_SAMPLE_OUTPUT_LENGTH = 1024;

/**
 * The first `length` characters of both outputs, for messages and logs. Cut on a character boundary; bytes that are
 * not UTF-8 show as U+FFFD. Default length: 1024.
 */
export function sampleOutput(
  result: { readonly stdout: Uint8Array; readonly stderr: Uint8Array },
  length: number = DEFAULT_SAMPLE_OUTPUT_LENGTH,
): { stdout: string; stderr: string } {
  return { stdout: sample(result.stdout, length), stderr: sample(result.stderr, length) };
}

const longestUtf8Bytes = 4;

function sample(bytes: Uint8Array, length: number): string {
  const wanted = Math.max(0, Math.floor(length));
  // In streaming mode the decoder holds back an incomplete character instead of showing half of it.
  const text = new TextDecoder('utf-8').decode(bytes.subarray(0, wanted * longestUtf8Bytes), {
    stream: bytes.length > wanted * longestUtf8Bytes,
  });
  let units = 0;
  let characters = 0;
  for (const character of text) {
    if (characters === wanted) break;
    units += character.length;
    characters += 1;
  }
  return text.slice(0, units);
}
