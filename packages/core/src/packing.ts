// From a pipeline to the definition that travels: encoded, checked whole, and its large parts stored before anything names them.
import type { Codec } from './codec'
import { encodeDefinition } from './definition-encoder'
import type { LargeValues } from './large-values'
import type { Submittable } from './pipeline'
import type { Space } from './transport'
import type { PackedDefinition } from './wire/packed-definition'

/** Above this, in bytes, the pages of a definition go into a blob even if a message could carry them. */
const MOST_INLINE = 128 << 10

/**
 * Encodes a pipeline and stores its large arguments, and its pages if they are many, under `prefix`.
 * @throws TaskError TASKS_UNENCODABLE, TASKS_DEFINITION_TOO_LARGE, TASKS_DEFINITION_INVALID before anything is stored
 */
export async function packPipeline(
  pipeline: Submittable<unknown, never>,
  codec: Codec,
  space: Space,
  values: LargeValues,
  prefix: string,
): Promise<PackedDefinition> {
  const { maxMessageBytes } = space.capabilities
  const { pages, hash, taskCount, blobs } = encodeDefinition(pipeline, {
    codec,
    inlineBytes: values.limits.inlineBytes,
    pageBytes: Math.min(32 << 10, maxMessageBytes >> 4),
    blobName: () => values.name(),
  })
  for (const { name, bytes } of blobs) await values.put(prefix + name, bytes)
  let total = 0
  for (const page of pages) total += page.length
  if (total <= Math.min(MOST_INLINE, maxMessageBytes >> 1))
    return { hash, tasks: taskCount, pages, pageCount: pages.length }
  const blob = values.name()
  for (let from = 0; from < pages.length; from += 8) {
    await Promise.all(
      pages.slice(from, from + 8).map((page, index) => space.blobs.put(prefix + blob, from + index, page)),
    )
  }
  return { hash, tasks: taskCount, pages: [], blob, pageCount: pages.length }
}
