/**
 * Lua for Redis. Each runs as one step, by the clock of Redis, so that clocks of nodes do not matter. A key that holds something else is
 * treated as if it were empty, and is overwritten.
 *
 * Keys: the node's heartbeat, which expires; its last one, kept for those who ask what was lost; when each node was last seen.
 */
const COMMON = `
local function text(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'string' then return value end
  return nil
end
local function millis()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end
local function bootOf(value)
  if value == nil then return nil end
  local ok, node = pcall(cjson.decode, value)
  if ok and type(node) == 'table' then return node.bootId end
  return nil
end
local function zset(key)
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'zset' and kind ~= 'none' then redis.call('DEL', key) end
end
`;

/**
 * ARGV: id, boot id, heartbeat, its life in ms, time for which a lost node is remembered in ms, most nodes. 1: written; 0: another node
 * has the id.
 */
export const BEAT = `${COMMON}
local boot = bootOf(text(KEYS[1]))
if boot ~= nil and boot ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4] + ARGV[5])
zset(KEYS[3])
local now = millis()
redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[3], now + 60000, '+inf')
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -ARGV[6] - 1)
return 1
`;

/** As BEAT, with what this process wrote before as ARGV[7]: 0 where another process of the node has written since. */
export const BEAT_AGAIN = `
local before = redis.pcall('GET', KEYS[1])
if before and before ~= ARGV[7] then return 0 end
${BEAT}`;

/** ARGV: id, what this process wrote last. Does nothing where another process of the node has written since. */
export const LEAVE = `${COMMON}
if text(KEYS[1]) ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
zset(KEYS[3])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
`;

/**
 * KEYS: when each node was last seen. ARGV: what stands before an id in the other two keys, most nodes, time for which a lost node is
 * remembered, most bytes of a heartbeat. Returns for each node id, when it was seen, 1 while it lives, and its last heartbeat.
 */
export const LIST = `${COMMON}
local nodes = {}
local now = millis()
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then return {} end
local seen = redis.call('ZREVRANGEBYSCORE', KEYS[1], now + 60000, now - ARGV[4], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for i = 1, #seen, 2 do if #seen[i] <= 64 then
  local lives = 1
  local value = redis.pcall('GETRANGE', ARGV[1] .. seen[i], 0, ARGV[5])
  if type(value) ~= 'string' or value == '' then
    lives = 0
    value = redis.pcall('GETRANGE', ARGV[2] .. seen[i], 0, ARGV[5])
    if type(value) ~= 'string' then value = '' end
  end
  nodes[#nodes + 1] = { seen[i], seen[i + 1], lives, value }
end end
return nodes
`;
