#!/usr/bin/env node
// Stands outside dist, so that an install in the workspace finds it before the first build.
import '../dist/bin.js';
