export { User } from '../../identity/src/domain/user.entity';
