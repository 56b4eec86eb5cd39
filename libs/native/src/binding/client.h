// The client's end of a channel for JavaScript. All functions run on the JS thread; connecting alone works on a thread
// of the pool. Declared for TypeScript in lib/addon.ts.
#pragma once

#include <napi.h>

namespace interleave::binding {

Napi::Value ChannelConnect(const Napi::CallbackInfo& info);
Napi::Value ChannelSubmit(const Napi::CallbackInfo& info);
Napi::Value ChannelCancel(const Napi::CallbackInfo& info);
Napi::Value ChannelReceive(const Napi::CallbackInfo& info);
Napi::Value ChannelClose(const Napi::CallbackInfo& info);

}  // namespace interleave::binding
