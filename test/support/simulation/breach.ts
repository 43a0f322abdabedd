/**
 * The kinds of rule that a simulation holds peers against, from what one peer does by itself to what
 * it all is for.
 *
 * receipt: a replica gives one only for what it holds, synced, under an act that names it (1, 2).
 * promise: after its answer to a seal it gives none for more under the act that was ended (7).
 * door: a new entry enters at the primary of an act that is active (9).
 * epoch: what a replica knows of acts and follows only rises.
 * chain: each entry of a log follows the one before it.
 * bytes: what a store keeps of a blog is what its author signed.
 * holder, acts: one act for each place of the council's logs, one for each epoch, one owner (14).
 * published: what w replicas gave receipts for is in the log of every later active primary.
 * answer: what an author is told of her entry is so.
 * end: when all faults are over, all is equal and published, and nothing that was told is missing.
 * conduct: honest peers neither refuse nor reject each other, and no work fails unseen.
 */
export type Rule =
  | 'receipt'
  | 'promise'
  | 'door'
  | 'epoch'
  | 'chain'
  | 'bytes'
  | 'holder'
  | 'acts'
  | 'published'
  | 'answer'
  | 'end'
  | 'conduct'

/** Hears that a rule was broken, and how. */
export type Breach = (rule: Rule, sentence: string) => void
