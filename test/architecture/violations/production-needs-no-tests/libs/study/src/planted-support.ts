export { TestContexts } from '../../../test/support/contexts';
