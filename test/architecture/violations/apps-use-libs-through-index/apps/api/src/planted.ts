export { User } from '../../../libs/identity/src/domain/user.entity';
