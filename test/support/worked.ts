/**
 * What this process has worked since it started, ms of processor time: to say of something that it is
 * quick, whatever else the machine does meanwhile.
 */
export function workedMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
