export { ApiTags } from '@nestjs/swagger';
