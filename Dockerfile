FROM node:24-bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 make g++ && rm -rf /var/lib/apt/lists/*
RUN npm install --global pnpm@12.21.0
WORKDIR /app
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml ./
COPY shared/package.json shared/
COPY hub/package.json hub/
COPY worker/package.json worker/
COPY worker/native worker/native
COPY scripts/package.json scripts/
RUN pnpm install --frozen-lockfile --prod
COPY shared shared
COPY hub hub
COPY worker worker

FROM node:24-bookworm-slim
# What workers dump and restore databases with.
RUN apt-get update && apt-get install -y --no-install-recommends mariadb-client postgresql-client && rm -rf /var/lib/apt/lists/*
# As in the embedded platform: less memory for threads, and TypeScript stripped once.
ENV MALLOC_ARENA_MAX=2 NODE_OPTIONS=--max-semi-space-size=8 NODE_COMPILE_CACHE=/var/lib/xvault/compile-cache
RUN install -d -o node -g node -m 0700 /var/lib/xvault
COPY --from=build /app /app
WORKDIR /app
USER node
VOLUME /var/lib/xvault
