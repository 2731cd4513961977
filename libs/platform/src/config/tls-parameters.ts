/** The only ways between which the server is what it claims to be, or nobody pretends that it is checked. */
const MODES = ['disable', 'verify-full'];
/** What an address may say of TLS. */
export const TLS_PARAMETERS = ['sslmode', 'sslrootcert'];

/** @returns what is wrong with what an address says of TLS; undefined: nothing */
export function faultOfTlsParameters(url: string): string | undefined {
  const parameters = URL.parse(url)?.searchParams;
  const mode = parameters?.get('sslmode');
  if (mode && !MODES.includes(mode)) {
    return 'has to say sslmode=verify-full or sslmode=disable: any other mode would trust whoever answers';
  }
  const unknown = [...(parameters?.keys() ?? [])].find((name) => name.startsWith('ssl') && !TLS_PARAMETERS.includes(name));
  return unknown && `says ${unknown}, which is not known here: use sslmode=verify-full and sslrootcert=<file of the authority>`;
}
