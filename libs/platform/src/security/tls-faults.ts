/** Why a TLS connection did not come about. */
export type TlsFault = 'UNTRUSTED' | 'EXPIRED' | 'WRONG_HOST' | 'NOT_OFFERED';

/** @see https://nodejs.org/docs/latest-v24.x/api/tls.html#x509-certificate-error-codes */
const BY_CODE: Record<string, TlsFault> = {
  SELF_SIGNED_CERT_IN_CHAIN: 'UNTRUSTED',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'UNTRUSTED',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'UNTRUSTED',
  UNABLE_TO_GET_ISSUER_CERT: 'UNTRUSTED',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'UNTRUSTED',
  CERT_SIGNATURE_FAILURE: 'UNTRUSTED',
  CERT_UNTRUSTED: 'UNTRUSTED',
  INVALID_CA: 'UNTRUSTED',
  CERT_HAS_EXPIRED: 'EXPIRED',
  CERT_NOT_YET_VALID: 'EXPIRED',
  ERR_TLS_CERT_ALTNAME_INVALID: 'WRONG_HOST',
  ERR_SSL_WRONG_VERSION_NUMBER: 'NOT_OFFERED', // the answer was no TLS record
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'NOT_OFFERED',
};

/** What pg says where PostgreSQL answers that it has no TLS. */
const PG_WITHOUT_TLS = 'The server does not support SSL connections';

/** @returns undefined if the error has nothing to do with TLS */
export function tlsFaultOf(error: unknown): TlsFault | undefined {
  const { message, code } = (error ?? {}) as { message?: unknown; code?: unknown };
  return message === PG_WITHOUT_TLS ? 'NOT_OFFERED' : BY_CODE[String(code)];
}

/** What to do about it. @param authority the setting that names whom to trust */
export function tlsAdvice(fault: TlsFault, server: string, authority: string): string {
  switch (fault) {
    case 'UNTRUSTED':
      return `${server} has a certificate that was not signed by whom we trust: name the file of its authority in ${authority}.`;
    case 'EXPIRED':
      return `${server} has a certificate that is not valid now: renew it there, or set the clock right.`;
    case 'WRONG_HOST':
      return `${server} has a certificate for another host: use a name that is in it, or have this one added.`;
    case 'NOT_OFFERED':
      return `${server} does not speak TLS, and nothing is sent unencrypted: switch TLS on there.`;
  }
}
