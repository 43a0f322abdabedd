import type { OrderedMove } from '../replication/exchange/orders.ts'

/** What an order that was taken leads to, in one sentence for its author. Pure. */
export function sentenceOfMove({ blog, from, to, learners, isDone }: OrderedMove): string {
  const led = to ?? 'the server that holds the most'
  if (isDone) return `${blog} is led by ${led}; nothing is moved.`
  const first = learners.length === 0 ? '' : ` ${learners.join(', ')} copies it first.`
  return `The order is taken: ${blog} moves from ${from} to ${led}.${first}`
}
