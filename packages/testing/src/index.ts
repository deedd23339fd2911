export { type CheckGradientOptions, checkGradient } from './checkGradient.js';
export { eachEngine, enginesUnderTest, worksHere } from './eachEngine.js';
export { expectClose, type Numbers, type Tolerance } from './expectClose.js';
export { type HubServer, type MockRepository, startHubServer } from './hubServer.js';
export { type Readme, readReadme } from './readme.js';
export { type TinyCache, type TinyCodec, type TinyModel, tinyCodec, tinyModel } from './tinyModel.js';
