// A worker for JavaScript. All functions run on the JS thread; draining and closing work on a thread of the pool.
// Declared for TypeScript in lib/addon.ts.
#pragma once

#include <napi.h>

namespace interleave::binding {

Napi::Value WorkerStart(const Napi::CallbackInfo& info);
Napi::Value WorkerChangeModels(const Napi::CallbackInfo& info);
Napi::Value WorkerLoads(const Napi::CallbackInfo& info);
Napi::Value WorkerLeaving(const Napi::CallbackInfo& info);
Napi::Value WorkerConfirm(const Napi::CallbackInfo& info);
Napi::Value WorkerModels(const Napi::CallbackInfo& info);
Napi::Value WorkerStats(const Napi::CallbackInfo& info);
Napi::Value WorkerIsolation(const Napi::CallbackInfo& info);
Napi::Value WorkerIdleLatency(const Napi::CallbackInfo& info);
Napi::Value WorkerAwakeSeconds(const Napi::CallbackInfo& info);
Napi::Value WorkerService(const Napi::CallbackInfo& info);
Napi::Value WorkerMeasure(const Napi::CallbackInfo& info);
Napi::Value WorkerSetCostTable(const Napi::CallbackInfo& info);
Napi::Value WorkerTellChanges(const Napi::CallbackInfo& info);
Napi::Value WorkerDrain(const Napi::CallbackInfo& info);
Napi::Value WorkerClose(const Napi::CallbackInfo& info);
Napi::Value InspectRuntime(const Napi::CallbackInfo& info);

}  // namespace interleave::binding
