import StandaloneConnector from 'ioredis/built/connectors/StandaloneConnector';

/**
 * ioredis hears one error of a socket. One that it ends amid the TLS handshake can have two: the certificate, then what the server says
 * of such an end; and an error that nobody hears ends the process. Here, as it makes some of its sockets without our options.
 */
const { connect } = StandaloneConnector.prototype; // eslint-disable-line @typescript-eslint/unbound-method -- called with its object below

StandaloneConnector.prototype.connect = async function (told) {
  const socket = await connect.call(this, told);
  return socket.on('error', () => undefined);
};
